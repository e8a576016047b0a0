"""pages.py - what a program can hold of the pages: they name only what exists.

Files (`path/file.c`, `name.[ch]`, globs), links, types of ARCHITECTURE.md's table, `make` targets, settings; and no source
or page refers to a document that is not in the project.
"""
import pathlib
import re
import subprocess

FILE = re.compile(r"(?<![\w/.*<>-])((?:[\w.-]+/)*[\w*-]+)\.(\[ch\]|c|h|py|lua|def|proto|yaml|conf)(?![\w.(])")
DOCUMENT = re.compile(r"(?<![\w/])((?:[\w.-]+/)*[\w-]+\.md)\b")
LINK = re.compile(r"\]\(([^)#:]+)\)")
FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]+)")

# Names of generated files, of files of the user's own, of other programs' flags.
OUTSIDE = {"darkroom_pb2.py", "darkroom.conf", "redis.conf", "sentinel.conf", "nsswitch.conf", "resolv.conf"}
OTHER_FLAGS = {"dir", "version"}


def tracked():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True,
                            text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [pathlib.Path(name) for name in listed.stdout.splitlines() if pathlib.Path(name).exists()]
    return [path for path in pathlib.Path(".").rglob("*") if path.is_file() and path.parts[0] != "build"]


def expand(name, ending):
    return [name + ".c", name + ".h"] if ending == "[ch]" else [name + "." + ending]


class Files:
    """What exists, asked by path, by path from a page's folder, or by a bare name below it."""

    def __init__(self, paths):
        self.paths = {str(path) for path in paths}

    def has(self, folder, name):
        while name.startswith("../"):
            folder, name = pathlib.Path(folder).parent, name[3:]
        prefix = "" if str(folder) == "." else f"{folder}/"
        if "*" in name:
            pattern = re.compile("(?:.*/)?" + re.escape(name).replace(r"\*", "[^/]*") + "$")
            return any(pattern.match(path) for path in self.paths if path.startswith(prefix))
        if name in self.paths or prefix + name in self.paths:
            return True
        return any(path.startswith(prefix) and path.endswith("/" + name) for path in self.paths)


def rooms_block(lines):
    """The lines of ARCHITECTURE.md's list of rooms, each with the folder it speaks of."""
    inside, stack = False, []
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            inside = not inside and number > 1 and lines[number - 2].startswith("## Rooms")
            continue
        if not inside:
            continue
        indent = len(line) - len(line.lstrip())
        folder = re.match(r"\s*([\w.-]+)/(?=\s|$)", line)
        while stack and stack[-1][0] >= indent and line.strip():
            stack.pop()
        if folder:
            stack.append((indent, folder.group(1)))
        yield number, line, pathlib.Path(*[name for _, name in stack])


def check_files(page, lines, files, report):
    rooms = {number: folder for number, _, folder in rooms_block(lines)} if page.name == "ARCHITECTURE.md" else {}
    for number, line in enumerate(lines, 1):
        folder = rooms.get(number, page.parent)
        for name, ending in FILE.findall(line):
            for wanted in expand(name, ending):
                if wanted.rsplit("/", 1)[-1] in OUTSIDE or files.has(folder, wanted):
                    continue
                if number in rooms or page.parent == pathlib.Path(".") or not files.has(".", wanted):
                    report(page, number, f"no file {wanted}" + (f" in {folder}/" if number in rooms else ""))
        for target in LINK.findall(line):
            if not (page.parent / target).exists():
                report(page, number, f"a link to {target}, which does not exist")


def check_house(lines, paths, report):
    """Every source above the kernels has its place in the list of rooms."""
    named = {}
    for _, line, folder in rooms_block(lines):
        named.setdefault(str(folder), set()).update(name for name, _ in FILE.findall(line))
    for path in paths:
        if path.suffix != ".c" or path.parts[0] in ("tests", "kernels"):
            continue
        names = named.get(str(path.parent), set())
        if not any(re.fullmatch(re.escape(name).replace(r"\*", ".*"), path.stem) for name in names):
            report("ARCHITECTURE.md", 1, f"{path} stands in no room")


def check_types(report):
    page = pathlib.Path("ARCHITECTURE.md")
    code = "\n".join(path.read_text() for path in tracked()
                     if path.suffix in (".c", ".h") and path.parts[0] != "tests")
    inside = False
    for number, line in enumerate(page.read_text().split("\n"), 1):
        if line.startswith("## "):
            inside = line.startswith("## The central types")
        for name in re.findall(r"`struct (\w+)`", line) if inside else []:
            if not re.search(rf"^struct {name} \{{", code, re.M):
                report(page, number, f"no source defines struct {name}")


def check_targets_and_flags(page, lines, report):
    targets = set(re.findall(r"^([a-z][\w-]*):", pathlib.Path("Makefile").read_text(), re.M))
    flags = set(FLAG.findall(pathlib.Path("docs/reference.md").read_text())) | OTHER_FLAGS
    for number, line in enumerate(lines, 1):
        for target in re.findall(r"(?:`|^|; |&& )make ([a-z][\w-]*)", line):
            if target not in targets:
                report(page, number, f"the Makefile has no target {target}")
        for flag in FLAG.findall(line):
            if flag not in flags and "protoc" not in line:
                report(page, number, f"no program has a setting --{flag}")


def check_documents(path, text, files, report):
    for number, line in enumerate(text.split("\n"), 1):
        for name in DOCUMENT.findall(line):
            if not files.has(path.parent, name) and not files.has(".", name):
                report(path, number, f"refers to {name}, which is not in the project")


def check_rulers(path, text, report):
    for number, line in enumerate(text.split("\n"), 1):
        if re.match(r"\s+\* -{5,}", line):
            report(path, number, "a section ruler broken into two lines")


def check_pages(report):
    """Calls report(path, line, text) for everything that is named and does not exist."""
    paths = tracked()
    files = Files(paths)
    for path in paths:
        if path.suffix == ".md":
            lines = path.read_text().split("\n")
            check_files(path, lines, files, report)
            if str(path) in ("README.md", "ARCHITECTURE.md"):
                check_targets_and_flags(path, lines, report)
        if path.suffix in (".md", ".c", ".h", ".lua", ".py", ".def", ".proto") and path.parent.name != "check":
            text = path.read_text()
            check_documents(path, text, files, report)
            check_rulers(path, text, report)
    check_house(pathlib.Path("ARCHITECTURE.md").read_text().split("\n"), paths, report)
    check_types(report)
