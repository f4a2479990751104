"""The views: one function a thing, in one order: authorise, read the form, do the verb, render."""
