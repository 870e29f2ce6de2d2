"""The page: what is entered on the left, what the models answer on the right."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from fastapi.routing import Mount

from spectrum_trl.app.answering import Found, Shown, Turn, answer
from spectrum_trl.app.draft import (
    FIRST,
    MOST_CHARACTERS,
    Draft,
    answers_of,
    draft_of,
    examples_of,
    read_link,
    table_of,
)
from spectrum_trl.app.figures import exports_html, problems_html, results_html, samples_html
from spectrum_trl.errors import UserError
from spectrum_trl.serve.stopping import GivenUp, stop_when

STYLE = Path(__file__).with_name("templates") / "style.css"
# Visitors' questions that wait for the model.
MOST_WAITING = 64
# Fonts of the visitor's system, so that none is fetched.
FONTS = ("system-ui", "sans-serif")
HEADING = "# Ask a model\nWhat is typed is answered at once; each example moves the shares."

# Samples belong to the question that they were drawn for. Fields that a link fills tell of it late.
ASKED = "JSON.stringify(entered.map(one => one?.data ?? one))"
DRAWS = f"(...entered) => {{ window.drawn = {ASKED}; return entered; }}"
KEEPS = f"(samples, ...entered) => {ASKED} === window.drawn ? samples : ''"


def build_app(models: Sequence[Shown]) -> tuple[FastAPI, Callable[[], object]]:
    """Return an application with the page, and what ends pages that are open and what they wait for.

    Args:
        models: One or more models, shown side by side; from then on, only the application uses them.
    """
    turn = Turn()
    for shown in models:
        stop_when(shown.model.model, turn.given_up)
    closed: Any = {"docs_url": None, "redoc_url": None, "openapi_url": None}
    app = FastAPI(**closed)
    theme = gr.themes.Default(primary_hue="blue", font=FONTS, font_mono=("ui-monospace", "monospace"))
    gr.mount_gradio_app(
        app,
        build_page(models, turn),
        path="/",
        app_kwargs=closed,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        show_error=False,
        max_file_size=0,
        theme=theme,
        css_paths=STYLE,
    )
    (mounted,) = (route.app for route in app.routes if isinstance(route, Mount))

    def end() -> None:
        turn.is_over = True
        mounted.stop_event.set()  # type: ignore[attr-defined]

    return app, end


def build_page(models: Sequence[Shown], turn: Turn) -> gr.Blocks:
    """Return the page's components and what they do."""

    def left(request: gr.Request) -> None:
        turn.leave(request.session_hash)

    page = gr.Blocks(title="spectrum-trl", analytics_enabled=False)
    # Nothing is kept between two events: each sends all that was entered.
    page.queue(api_open=False, max_size=MOST_WAITING, default_concurrency_limit=1)
    with page:
        gr.Markdown(HEADING)
        notice = gr.HTML(apply_default_css=False)
        with gr.Row():
            with gr.Column(scale=2):
                entered = _entries()
            with gr.Column(scale=3):
                results = gr.HTML(apply_default_css=False)
                exports = gr.HTML(apply_default_css=False)
                draw = gr.Button("Draw samples", elem_id="draw")
                samples = gr.HTML(apply_default_css=False)
        _listen(models, turn, entered, outputs=[results, exports, samples], draw=draw, notice=notice)
        page.unload(left)
    return page


def _entries() -> dict[str, Any]:
    """Return the components that a visitor fills in, by name."""
    longest: Any = {"max_length": MOST_CHARACTERS}
    entered = {
        "description": gr.Textbox(label="Description", lines=2, elem_id="description", **longest),
        "examples": gr.Dataframe(
            headers=["input (optional)", "output"],
            column_count=2,
            column_widths=["45%", "55%"],
            type="array",
            label="Examples",
            interactive=True,
            wrap=True,
            buttons=[],
            elem_id="examples",
        ),
        "example": gr.Textbox(
            label="New example", placeholder="an output; Enter adds it", elem_id="example", **longest
        ),
        "add": gr.Button("Add the example", size="sm", elem_id="add"),
        "input": gr.Textbox(label="Input (optional)", elem_id="input", **longest),
        "answers": gr.Textbox(label="Answers, one a line", lines=3, elem_id="answers"),
    }
    with gr.Row():
        # Without ranges: outside of one, Gradio would keep the figures of the question before.
        entered["samples"] = gr.Number(label="Samples", precision=0, elem_id="n", min_width=80)
        entered["seed"] = gr.Number(label="Seed", precision=0, elem_id="seed", min_width=80)
    return entered


def _listen(
    models: Sequence[Shown],
    turn: Turn,
    entered: dict[str, Any],
    *,
    outputs: list[Any],
    draw: Any,
    notice: Any,
) -> None:
    fields = [entered[name] for name in ("description", "examples", "input", "answers", "samples", "seed")]
    # One model, one question at a time; of what is typed meanwhile the last counts.
    settings: Any = {"concurrency_id": "model", "concurrency_limit": 1, "show_progress": "hidden"}
    settings |= {"api_visibility": "private", "trigger_mode": "always_last"}
    quick: Any = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
    live, drawn = (_answering(models, turn, draws=draws) for draws in (False, True))
    *figures, samples = outputs
    # A text that is pasted with the mouse changes without any key.
    gr.on([one.change for one in fields], live, fields, figures, **settings)
    draw.click(drawn, fields, samples, js=DRAWS, **settings | {"show_progress": "minimal"})
    # Samples of another question are no longer wanted; the browser itself takes them away.
    gr.on([one.change for one in fields], None, [samples, *fields], samples, js=KEEPS)
    gr.on(
        [entered["example"].submit, entered["add"].click],
        _added,
        [entered["example"], entered["examples"]],
        [entered["example"], entered["examples"]],
        **quick,
    )
    started = gr.on(None, _opened, None, [*fields, notice], **quick)
    started.success(live, fields, figures, **settings)


def _answering(models: Sequence[Shown], turn: Turn, *, draws: bool) -> Callable[..., Any]:
    """Return what answers: the samples with what is kept of them, or the figures and what is kept."""

    def answered(request: gr.Request, *entered: Any) -> Any:
        turn.visitor = request.session_hash
        try:
            draft = _draft(*entered)
            found: list[Found] = [answer(shown, draft, draws=draws, between=turn.check) for shown in models]
        except UserError as error:
            return problems_html(error) if draws else (problems_html(error), "")
        except GivenUp:
            return "" if draws else ("", "")
        exports = exports_html(draft, models, found)
        return samples_html(found, draft) + exports if draws else (results_html(found), exports)

    return answered


def _draft(
    description: str, table: list[list[Any]], input: str, answers: str, samples: Any, seed: Any
) -> Draft:
    return draft_of(
        {
            "description": description,
            "examples": examples_of(table),
            "input": input,
            "answers": answers_of(answers),
            "samples": samples,
            "seed": seed,
        }
    )


def _added(example: str, table: list[list[Any]]) -> tuple[str, list[list[Any]]]:
    rows = [row for row in table if any(row)]
    return ("", [*rows, ["", example]]) if example else (example, table)


def _opened(request: gr.Request) -> tuple[Any, ...]:
    """Return what the address of the page holds."""
    try:
        draft, problem = read_link(dict(request.query_params)) or FIRST, ""
    except UserError as error:
        draft, problem = Draft(), problems_html(error)
    answers = "\n".join(draft.answers)
    fields = (draft.description, table_of(draft), draft.input, answers, draft.samples, draft.seed)
    return (*fields, problem)
