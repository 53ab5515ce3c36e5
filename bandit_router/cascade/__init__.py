"""Whether an answer is retried on a dearer arm, pure."""
