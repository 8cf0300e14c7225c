"""Where is this tablet? As a mail asks it: the answer that was pressed there, to be pressed once more here.

What a mail links to must change nothing by being looked at, as mail servers look at links before people do.
"""

from flask import render_template, request, url_for

from fleet import clock
from fleet.compliance import questions
from fleet.compliance.models import Answer
from fleet.web import signed_in
from fleet.web.blueprint import web

_ANSWERS = {one.value: one for one in Answer}


@web.get("/questions/<int(max=2147483647):question_id>")
def question(question_id: int) -> str:
    """Ask about one tablet; what nobody has to answer any more is said so, as also what is others' to answer."""
    found = next((one for one in questions.waiting(by=signed_in.by()) if one.question.id == question_id), None)
    return render_template(
        "question.html",
        one=found,
        answers=list(Answer),
        pressed=_ANSWERS.get(request.args.get("answer", "")),
        back=url_for("web.silence"),
        now=clock.now(),
    )
