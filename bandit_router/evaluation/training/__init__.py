"""Training a classifier: labelled examples, logistic regression, cross-validation, threshold."""
