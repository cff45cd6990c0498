"""DirectProbe: clusters of labelled points, and the distances between them (Zhou and Srikumar 2021)."""
