"""Commands on the number space: releases, records, and changes to them."""
