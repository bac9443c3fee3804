"""The report as one page of HTML with its pictures inside."""

import base64
from dataclasses import dataclass
from pathlib import Path

from ssldm.report.headline import Row


@dataclass(frozen=True)
class Page:
    """What stands on the page.

    Attributes:
        contestants: names, in the order of the cells of the rows.
        rows: the headline table.
        pictures: captions and PNG files.
        events: names, and how many windows each has.
        notes: contestant, what its forecasts remarked, and in how many windows.
        reference: of the skill.
        lead_time: in words.
        command: that makes the report.
    """

    contestants: tuple[str, ...]
    rows: tuple[Row, ...]
    pictures: tuple[tuple[str, Path], ...]
    events: tuple[tuple[str, int], ...]
    notes: tuple[tuple[str, str, int], ...]
    reference: str | None
    lead_time: str
    command: str


def write_page(page: Page, path: Path) -> None:
    """Write the page; it refers to no other file."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ssldm.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    pictures = [
        (caption, file.stem, base64.b64encode(file.read_bytes()).decode()) for caption, file in page.pictures
    ]
    _write_text(environment.get_template("page.html").render(page=page, pictures=pictures), path)


def write_markdown(page: Page, path: Path) -> None:
    """Write the headline table with its intervals in Markdown, the best in bold."""
    lines = [["", *page.contestants], ["---"] * (1 + len(page.contestants))]
    for row in page.rows:
        lines.append([row.label])
        for cell in row.cells:
            value = f"**{cell.value}**" if cell.best else cell.value
            lines[-1].append(f"{value} ({cell.interval})" if cell.interval else value)
    _write_text("".join(f"| {' | '.join(line)} |\n" for line in lines), path)


def _write_text(text: str, path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
