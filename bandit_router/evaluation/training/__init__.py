"""Training the classifier: labelled examples, logistic regression, cross-validation, the threshold."""
