"""What several tests share: truths in closed form, small cases and trainings, the shared data."""
