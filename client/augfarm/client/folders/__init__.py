"""`augfarm run`: a folder of images through a pipeline, on a farm, with the annotations beside them."""
