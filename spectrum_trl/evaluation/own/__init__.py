"""A user's own tasks in the evaluations; tables of answers are declared in `suite.own`, below this room."""
