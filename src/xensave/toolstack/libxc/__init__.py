"""What libxc and the hypercalls that it makes refuse: records, params, policies, PV vCPUs."""
