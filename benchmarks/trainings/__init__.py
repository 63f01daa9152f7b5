"""Small trainings, healthy and broken, whose logs judge what `tandv.findings` says."""
