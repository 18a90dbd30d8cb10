

# The start.


def imported(folder):
    """The modules that the files of the project name in `import`, by the first part of their names."""
    import ast

    found = set()
    for path in sorted(folder.rglob("*.py")):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            # What reads it says so.
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found


def versions(spec):
    """Prints what decides results besides the files: Python, the packages in use, and what those need."""
    top = place(spec)[0].split(".")[0]
    needed = {"numpy", "pyarrow"} | ({"pandas"} if spec["table"] == "frame" else set())
    if not place(spec)[0].endswith(".py"):
        needed.add(top)
    for package in sorted(needed):
        if importlib.util.find_spec(package) is None:
            raise missing(spec, package)
    installed = metadata.packages_distributions()
    # The classes of boosters build on scikit-learn where it is there, and do not name it as needed.
    used = {dist for name in needed | imported(Path()) | {"sklearn"} for dist in installed.get(name, [])}
    for dist in sorted(used):
        for line in metadata.requires(dist) or []:
            if "extra ==" not in line:
                used.add(re.match(r"[A-Za-z0-9._-]+", line).group())
    lines = set()
    for dist in used:
        try:
            lines.add(f"{re.sub('[-_.]+', '-', dist).lower()} {metadata.version(dist)}")
        except metadata.PackageNotFoundError:
            # A package of another system.
            continue
    print(f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}")
    print("\n".join(sorted(lines)))


def run(spec, train, apply, seed, *outputs):
    import numpy as np

    seed = int(seed)
    # For what draws from the generators that all of Python shares.
    random.seed(seed)
    np.random.seed(seed % 2**32)
    work = estimate if spec["kind"] == "estimator" else transform
    work(spec, train, apply, seed, *outputs)


def main(work, spec, *args):
    spec = json.loads(spec)
    try:
        if sys.version_info < (3, 10):
            raise Trouble("package", f"`{spec['python']}` is Python {sys.version.split()[0]}, and 3.10 is needed",
                          'python = "python3.12" names another one')
        versions(spec) if work == "versions" else run(spec, *args)
    except Trouble as trouble:
        sys.stderr.flush()
        print(f"\n{MARK}{json.dumps(trouble.told)}", flush=True)
        # What `versions` says is an answer.
        sys.exit(0 if work == "versions" else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
