"""What the activities that read and write files share: names within the folder of files, formats, bytes."""
