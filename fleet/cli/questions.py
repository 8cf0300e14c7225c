"""``fleet questions``: where silent tablets are, as the class's teachers or the school's IT say."""

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.output import ErrorsAsLines, application, json_option, show_table
from fleet.compliance import questions
from fleet.compliance.models import Answer

_COLUMNS = ["id", "serial", "asset_tag", "school", "class", "heard_at", "asked_at", "escalated_at"]


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """See what is asked about silent tablets, and answer."""


@group.command("list")
@json_option
def list_questions(*, as_json: bool) -> None:
    """List the questions that wait, the oldest first."""
    with application(writes=False):
        rows = [
            {
                "id": one.question.id, "serial": one.device.serial, "asset_tag": one.device.asset_tag,
                "school": one.device.school.name if one.device.school is not None else None,
                "class": one.class_title, "heard_at": one.heard_at, "asked_at": one.question.asked_at,
                "escalated_at": one.question.escalated_at,
            }
            for one in questions.waiting(by=Principal.command_line())
        ]  # fmt: skip
    show_table(rows, _COLUMNS, as_json=as_json)


@group.command()
@click.argument("question_id", metavar="ID", type=int)
@click.argument("answer", type=click.Choice([one.value for one in Answer]))
def answer(question_id: int, answer: str) -> None:
    """Say where a tablet is: here, at home, or gone, which makes it missing at once."""
    with application(writes=True) as config:
        by, now = Principal.command_line(), clock.now()
        questions.answer(question_id, Answer(answer), by=by, now=now, timezone=config.timezone)
    click.echo(f"question {question_id} is answered: {answer}")
