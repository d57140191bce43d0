"""xcnet: neural exchange-correlation functionals behind libxc's interface."""
