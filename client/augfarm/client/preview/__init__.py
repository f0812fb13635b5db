"""What a pipeline does, to look at: `augfarm preview` and `Client.preview`. Drawing needs Pillow."""
