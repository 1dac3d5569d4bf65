//! Unpublished: origins, scripted bodies, a manual clock, the layer contract suite.
