"""The report as one page of HTML with its pictures inside."""

import base64
from dataclasses import dataclass
from pathlib import Path

from ssldm.atomic import replacing
from ssldm.report.headline import Row


@dataclass(frozen=True)
class Page:
    """What stands on the page.

    Attributes:
        contestants: names, in the order of the cells of the rows.
        rows: the headline table.
        looks: how members look; of cells there is one more, the observed value.
        pictures: captions, names and PNG files.
        events: names, and how many windows each has.
        notes: contestant, what its forecasts remarked, and in how many windows.
        reference: of the skill.
        lead_time: in words.
        command: that makes the report.
    """

    contestants: tuple[str, ...]
    rows: tuple[Row, ...]
    looks: tuple[Row, ...]
    pictures: tuple[tuple[str, str, bytes], ...]
    events: tuple[tuple[str, int], ...]
    notes: tuple[tuple[str, str, int], ...]
    reference: str | None
    lead_time: str
    command: str

    @property
    def windows(self) -> int:
        """How many there are."""
        return sum(count for _, count in self.events)


def write_page(page: Page, path: Path) -> None:
    """Write the page; it refers to no other file."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ssldm.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    pictures = [
        (caption, name, base64.b64encode(picture).decode()) for caption, name, picture in page.pictures
    ]
    _write_text(environment.get_template("page.html").render(page=page, pictures=pictures), path)


def write_markdown(page: Page, path: Path) -> None:
    """Write command, headline table with its intervals and notes in Markdown, the best in bold."""
    lines = [["", *page.contestants], ["---"] * (1 + len(page.contestants))]
    for row in page.rows:
        lines.append([row.label])
        for cell in row.cells:
            value = f"**{cell.value}**" if cell.best else cell.value
            lines[-1].append(f"{value} ({cell.interval})" if cell.interval else value)
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = "".join(
        f"- {name}, in {count} of {page.windows} windows: {text}\n" for name, text, count in page.notes
    )
    _write_text("\n".join(filter(None, (f"```bash\n{page.command}\n```\n", table, notes))), path)


def _write_text(text: str, path: Path) -> None:
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")
