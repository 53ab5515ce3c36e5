"""A model that judges answers: what it is asked, what it says, and when."""
