"""The journal: the only truth, and the only package that speaks SQL."""

from quell.journal.database import Journal
from quell.journal.writer import Question, Transaction, Write

__all__ = ["Journal", "Question", "Transaction", "Write"]
