"""What every task must keep: rules that a plug-in is checked by, in seconds, before anything is trained."""
