"""From a Xen repository to the catalogue's data: releases, layouts, history, number spaces."""
