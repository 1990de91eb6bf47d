"""The list of modules that the room page preloads."""

import re
from pathlib import Path

import pytest
from flask import Flask

from chat.web.preload import preload_scripts
from chat.web.static_files import STATIC

ROOM_ENTRY = "js/main.js"


def write_modules(folder: Path, **sources: str) -> Path:
    for name, source in sources.items():
        path = folder / "js" / f"{name.replace('__', '/')}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


def test_modules_are_listed_once_and_in_import_order(tmp_path: Path) -> None:
    static = write_modules(
        tmp_path,
        main='import { a } from "./lib/a.js"\nimport {\n  b,\n  c,\n} from "./b.js"\n',
        lib__a='import "../b.js"\nexport * from "./d.js"\n',
        lib__d="",
        b='import { a } from "./lib/a.js"\n',
    )

    assert preload_scripts("js/main.js", static) == ("js/lib/a.js", "js/b.js", "js/lib/d.js")


def test_type_imports_dynamic_imports_and_packages_are_left_out(tmp_path: Path) -> None:
    static = write_modules(
        tmp_path,
        main=(
            '/** @import { T } from "./types.js" */\n'
            'const later = () => import("./later.js")\n'
            'const text = "import x from "\n'
            'import { io } from "socket.io-client"\n'
            "export function example() {\n  return './example.js'\n}\n"
        ),
    )

    assert preload_scripts("js/main.js", static) == ()


def test_a_missing_module_is_an_error(tmp_path: Path) -> None:
    static = write_modules(tmp_path, main='import "./missing.js"\n')

    with pytest.raises(FileNotFoundError):
        preload_scripts("js/main.js", static)


def test_the_room_page_preloads_the_first_part_only(app: Flask, kitchen: str) -> None:
    page = app.test_client().get(f"/{kitchen}/").text

    preloaded = re.findall(r'<link rel="modulepreload" href="/static/[^/]+/([^"]+)">', page)
    assert preloaded == [ROOM_ENTRY, *preload_scripts(ROOM_ENTRY)]
    assert "js/net/room_session.js" in preloaded
    assert "js/secondary.js" not in preloaded
    assert [name for name in preloaded if name.startswith("vendor/socket.io-client-")]
    for name in preloaded:
        assert (STATIC / name).is_file(), name
