use super::*;

#[test]
fn the_project_root_is_the_nearest_marked_ancestor() {
    let dir = flow_testkit::files::folder();
    let inner = dir.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    let file = inner.join("p.toml");
    std::fs::create_dir(dir.path().join(".git")).unwrap();
    assert_eq!(project_root(&file), dir.path());
    std::fs::write(dir.path().join("a/flow.toml"), "").unwrap();
    assert_eq!(project_root(&file), dir.path().join("a"));
    std::fs::create_dir(inner.join(".flow")).unwrap();
    assert_eq!(project_root(&file), inner);
}
