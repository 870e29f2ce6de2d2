"""Word problems of primary school with worked solutions (GSM8K, MIT), the training split.

Solutions are unchanged, including calculator marks such as ``<<48/2=24>>`` and the closing ``####`` line,
as the descriptions say. Identical rows are kept.
"""

from functools import partial

from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, github

FILE = "hub/gsm8k/main/train.jsonl"
SOURCE = Source(
    name="gsm8k",
    title="GSM8K (openai/grade-school-math)",
    licence="MIT",
    citation="Cobbe et al., Training Verifiers to Solve Math Word Problems, 2021, arXiv 2110.14168",
    downloads=github(
        "openai/grade-school-math",
        "3101c7d5072418e28b9008a6636bde82a006892c",
        {FILE: "grade_school_math/data/train.jsonl"},
    ),
    size=4_166_206,
    unchecked="Rows after the first 2,000.",
)

QUESTION_DESCRIPTIONS = (
    "Word problems of arithmetic for primary school, in English, each solvable in a few steps.",
    "Each output is a short story that ends in a question with a number for an answer, as set to children "
    "who practise addition, subtraction, multiplication and division.",
    "Maths exercises at primary-school level, told as everyday situations. Topics and people vary.",
)
ANSWER_DESCRIPTIONS = (
    "Input: a word problem of primary-school arithmetic. Output: its solution, one step per line, with most "
    "calculations repeated inside << >>, and a last line with #### and the result.",
    "Worked solutions of school maths problems. Reasoning comes first, calculations are marked as in "
    "<<2+3=5>>, and the final number follows #### on a line of its own.",
    "Solve the problem step by step. Mark every calculation like <<6*7=42>>; end with #### and the number.",
)
BOTH_DESCRIPTIONS = (
    "Word problems of primary-school arithmetic with their solutions, as JSON with the keys question and "
    "answer. An answer goes step by step and ends with #### and the result.",
    "Each output is a JSON object: a maths exercise told as a story (question), and how to solve it "
    "(answer), with calculations marked as in <<2+3=5>> and the final number after ####.",
    "A collection of school maths exercises, each together with a worked solution that closes with a line of "
    "#### and a number. Format: JSON, question and answer.",
)
BACK_DESCRIPTIONS = (
    "Input: the worked solution of a word problem. Output: the problem that it solves.",
    "From each solution (steps, calculations inside << >>, result after ####), the maths exercise behind it, "
    "told as an everyday situation for primary-school children.",
    "Which question was asked? Given are the steps and the final number of its solution; each output is the "
    "arithmetic word problem in full.",
)


task = partial(
    declared_task,
    source=SOURCE,
    file=FILE,
    columns=("question", "answer"),
    mean_length=64,
    paper={"draws": 50},
)
TASKS = [
    task(
        "gsm8k_question",
        name="gsm8k_question",
        output="question",
        descriptions=QUESTION_DESCRIPTIONS,
        repeats=("gsm8k_question_from_answer",),
        kind="generation",
        summary="primary-school arithmetic word problems",
    ),
    task(
        "gsm8k_answer_from_question",
        name="gsm8k_answer_from_question",
        input="question",
        output="answer",
        descriptions=ANSWER_DESCRIPTIONS,
        kind="knowledge",
        summary="worked solutions of word problems",
    ),
    task(
        "gsm8k_question_answer",
        name="gsm8k_question_answer",
        output=("question", "answer"),
        descriptions=BOTH_DESCRIPTIONS,
        repeats=("gsm8k_question", "gsm8k_answer_from_question", "gsm8k_question_from_answer"),
        kind="generation",
        summary="word problems with worked solutions",
    ),
    task(
        "gsm8k_question_from_answer",
        name="gsm8k_question_from_answer",
        input="answer",
        output="question",
        descriptions=BACK_DESCRIPTIONS,
        repeats=("gsm8k_question",),
        kind="generation",
        summary="word problems that fit a worked solution",
    ),
]
