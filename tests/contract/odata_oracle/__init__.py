"""A second, independent evaluation of $filter and $orderby, which judges the engine of the Dynamics sandbox."""
