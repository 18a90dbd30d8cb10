# Nearest centre: fit.R TRAIN APPLY PREDICTIONS
#
# An object belongs to the class whose typical object is near. Columns are brought to one scale by what
# the training rows say of them; a missing value counts as typical.

suppressPackageStartupMessages(library(arrow))

paths <- commandArgs(trailingOnly = TRUE)
train <- as.data.frame(read_parquet(paths[1]))
apply_to <- as.data.frame(read_parquet(paths[2]))
features <- setdiff(names(train), c("object_id", "label"))
classes <- sort(unique(train$label))

x <- as.matrix(train[, features])
centre <- apply(x, 2, median, na.rm = TRUE)
spread <- apply(x, 2, mad, na.rm = TRUE)
used <- is.finite(centre) & is.finite(spread) & spread > 0

scaled <- function(x) {
  x <- scale(x[, used, drop = FALSE], centre[used], spread[used])
  x[!is.finite(x)] <- 0
  pmin(pmax(x, -5), 5)
}

x <- scaled(x)
rows <- scaled(as.matrix(apply_to[, features]))
distance <- sapply(classes, function(class) {
  typical <- colMeans(x[train$label == class, , drop = FALSE])
  rowMeans(sweep(rows, 2, typical)^2)
})
distance <- matrix(distance, nrow = nrow(rows))
closeness <- exp(-distance)
probability <- closeness / rowSums(closeness)

predictions <- data.frame(object_id = apply_to$object_id, probability)
names(predictions) <- c("object_id", paste0("p_", classes))
write_parquet(predictions, paths[3])
