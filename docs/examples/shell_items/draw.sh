# draw.sh I LETTER SEED OUT: a number from 0 to 9 that the seed decides.
echo "$1 $2 $(($3 % 10))" > "$4"
