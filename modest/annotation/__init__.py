"""People in the loop: a local page to label and pair on, a store that loses nothing, exchange with other tools."""
