//! The directory of a program is fresh, though it is made from what the last program left in its own.

use std::os::unix::fs::PermissionsExt;

use flow_testkit::files::read;

use crate::harness::Project;

/// What a program finds: names, kinds, modes and numbers of names, and what is in the files. Then it
/// makes a mess, each item another one.
const SCRIPT: &str = r#"
{ find . -type d -printf '%p %m\n' -o -printf '%p %y %m %n\n' | sort; find . -type f | sort | xargs cat; } > "$1"
case $2 in
0) echo more > new; mkdir d; echo deep > d/f; mkdir -p items/sub; echo x > items/left ;;
1) rm -r items; ln -s / items ;;
2) rm items/2.txt; ln -s "$PWD/script.sh" items/2.txt; chmod 500 script.sh; echo "exit 1" > script.sh ;;
3) ln items/3.txt "$TMPDIR/second"; ln script.sh "$1.second"; chmod 700 items ;;
4) rm -r "$PWD"; ln -s / "$PWD" ;;
5) mv items/5.txt moved; mkdir items/5.txt; head -c 3000000 /dev/zero > script.sh ;;
6) chmod 700 . items; chmod 0 script.sh ;;
esac
exit 0
"#;

fn project() -> Project {
    let project = Project::new(
        r#"
[stages.run]
use = "command"
run = ["/bin/sh", "script.sh", "{out}", "{i}"]
files = ["script.sh", "items/{i}.txt"]
outputs = { out = "o.txt" }
each = { i = { range = [0, 9] } }
[stages.other]
use = "command"
run = ["/bin/sh", "-c", "find . -printf '%p %m\\n' | sort > $0; cat */*/* >> $0", "{out}"]
files = ["deep/er/*"]
outputs = { out = "o.txt" }
"#,
    );
    project.write("script.sh", SCRIPT);
    project.write("deep/er/file", "deep\n");
    for item in 0..9 {
        project.write(&format!("items/{item}.txt"), format!("item {item}\n"));
    }
    project
}

#[test]
fn a_program_finds_nothing_of_the_one_before() {
    let mut project = project();
    // All in one directory, one after the other.
    project.jobs = 1;
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    let mode = |path: &str| {
        let meta = std::fs::metadata(project.root.join(path)).unwrap();
        format!("{:o}", meta.permissions().mode() & 0o777)
    };
    let (folder, file) = (mode("items"), mode("script.sh"));
    for item in 0..9 {
        let artifact = project.artifact(&ran, &format!("run: run i={item} out"));
        let expected = format!(
            ". {folder}\n./items {folder}\n./items/{item}.txt f {file} 1\n./script.sh f {file} 1\nitem {item}\n{SCRIPT}"
        );
        assert_eq!(read(&artifact), expected);
    }
    let other = read(&project.artifact(&ran, "other: run out"));
    let expected =
        format!(". {folder}\n./deep {folder}\n./deep/er {folder}\n./deep/er/file {file}\ndeep\n");
    assert_eq!(other, expected);
    project.assert_no_debris();
    project.expect(&[]);
}
