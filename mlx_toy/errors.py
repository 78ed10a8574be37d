"""The one exception whose message is meant for a person.

Why it exists: bad input is reported where it enters, in one sentence that says what is wrong and
what to do. The command line prints that sentence and exits with 2; the app shows it in the page.
Everything else that is raised is a bug and keeps its traceback.
"""


class UserError(Exception):
    """Something the user can put right; its message is one clear sentence."""
