package smartshelf.fs;

import org.apache.hadoop.fs.LocalFileSystem;

/** For {@code spark.hadoop.fs.file.impl}: the checksummed local file system over the raw one without forks. */
public class LocalNoForkFileSystem extends LocalFileSystem {
    public LocalNoForkFileSystem() {
        super(new RawLocalNoForkFileSystem());
    }
}
