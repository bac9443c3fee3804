"""The verification report: hindcasts of all contestants, their scores with intervals, figures and a page."""
