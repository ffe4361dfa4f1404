module example.org/thumbnails

go 1.21
