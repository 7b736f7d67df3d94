// A stress test in Go: the file system tests of the standard library, thousands of files, times,
// links, and goroutines that sleep and read at the same time.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing/fstest"
	"time"
)

func main() {
	must(inputBesideGoroutines())
	must(fileSystemOfTheStandardLibrary())
	must(thousandFiles())
	must(openFlags())
	must(positions())
	must(renaming())
	must(times())
	must(links())
	must(trees())
	fmt.Println("go")
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// all runs checks until the first that fails.
func all(checks ...func() error) error {
	for i, check := range checks {
		if err := check(); err != nil {
			return fmt.Errorf("check %d: %w", i, err)
		}
	}
	return nil
}

func expect(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func fails(err, kind error) error {
	return expect(errors.Is(err, kind), "%v is not %v", err, kind)
}

// Lines are sent through a channel while goroutines sleep for different times; they wake in the
// order of the times.
func inputBesideGoroutines() error {
	start := time.Now()
	lines := make(chan string)
	go func() {
		scanner := bufio.NewScanner(os.Stdin)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
		close(lines)
	}()
	var group sync.WaitGroup
	var mutex sync.Mutex
	var order []int
	for _, ms := range []int{120, 40, 80} {
		group.Add(1)
		go func() {
			defer group.Done()
			time.Sleep(time.Duration(ms) * time.Millisecond)
			mutex.Lock()
			defer mutex.Unlock()
			order = append(order, ms)
		}()
	}
	var read []string
	for line := range lines {
		read = append(read, line)
	}
	group.Wait()
	ticker := time.NewTicker(5 * time.Millisecond)
	for range 3 {
		<-ticker.C
	}
	ticker.Stop()
	select {
	case <-time.After(10 * time.Millisecond):
	case <-make(chan int):
	}
	slept := time.Since(start)
	return all(
		func() error { return expect(slices.Equal(read, []string{"alice", "bob", ""}), "read %q", read) },
		func() error { return expect(slices.Equal(order, []int{40, 80, 120}), "woke in the order %v", order) },
		func() error { return expect(slept >= 120*time.Millisecond, "slept for %v", slept) },
	)
}

func fileSystemOfTheStandardLibrary() error {
	if err := os.MkdirAll("/tested/a/b", 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{"one": "1", "a/two": "22", "a/b/three": strings.Repeat("3", 3_000), "empty": ""} {
		if err := os.WriteFile(filepath.Join("/tested", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := fstest.TestFS(os.DirFS("/tested"), "one", "a/two", "a/b/three", "empty"); err != nil {
		return err
	}
	return os.RemoveAll("/tested")
}

func thousandFiles() error {
	if err := os.Mkdir("/many", 0o755); err != nil {
		return err
	}
	for i := range 1000 {
		if err := os.WriteFile(fmt.Sprintf("/many/file-%04d", i), []byte{byte(i)}, 0o600); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir("/many")
	if err != nil {
		return err
	}
	for i, entry := range entries {
		if want := fmt.Sprintf("file-%04d", i); entry.Name() != want || !entry.Type().IsRegular() {
			return fmt.Errorf("entry %d is %v, not %s", i, entry, want)
		}
	}
	dir, err := os.Open("/many")
	if err != nil {
		return err
	}
	n := 0
	for {
		names, err := dir.Readdirnames(7)
		n += len(names)
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	matches, err := filepath.Glob("/many/file-01*")
	return all(
		func() error { return err },
		func() error { return expect(len(entries) == 1000, "%d entries", len(entries)) },
		func() error { return expect(n == 1000, "%d names by sevens", n) },
		func() error { return expect(len(matches) == 100, "%d matches", len(matches)) },
		dir.Close,
		func() error { return os.RemoveAll("/many") },
		func() error { _, err := os.Stat("/many"); return fails(err, fs.ErrNotExist) },
	)
}

func openFlags() error {
	open := func(flag int) (*os.File, error) { return os.OpenFile("/flags", flag, 0o644) }
	write := func(flag int, text string) error {
		file, err := open(flag | os.O_WRONLY)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = file.WriteString(text)
		return err
	}
	reads := func(want string) error {
		got, err := os.ReadFile("/flags")
		return errors.Join(err, expect(string(got) == want, "%q, not %q", got, want))
	}
	return all(
		func() error { _, err := open(os.O_RDONLY); return fails(err, fs.ErrNotExist) },
		func() error { return write(os.O_CREATE|os.O_EXCL, "12345") },
		func() error { return fails(write(os.O_CREATE|os.O_EXCL, "x"), fs.ErrExist) },
		func() error { return write(0, "ab") },
		func() error { return reads("ab345") },
		func() error { return write(os.O_APPEND, "67") },
		func() error { return reads("ab34567") },
		func() error { return write(os.O_TRUNC, "new") },
		func() error { return reads("new") },
		func() error { return os.Truncate("/flags", 1) },
		func() error { return reads("n") },
		func() error { return os.Truncate("/flags", 3) },
		func() error { return reads("n\x00\x00") },
		func() error {
			file, err := open(os.O_RDONLY)
			if err != nil {
				return err
			}
			defer file.Close()
			_, err = file.WriteString("x")
			return expect(err != nil, "a file for reading was written")
		},
		func() error { _, err := os.ReadFile("/folder"); return expect(err != nil, "a directory was read") },
		func() error { return fails(os.Mkdir("/flags", 0o755), fs.ErrExist) },
		func() error { return os.Remove("/flags") },
		func() error { return fails(os.Remove("/flags"), fs.ErrNotExist) },
	)
}

func positions() error {
	file, err := os.Create("/positions")
	if err != nil {
		return err
	}
	defer file.Close()
	seeks := func(offset int64, whence int, want int64) error {
		got, err := file.Seek(offset, whence)
		return errors.Join(err, expect(got == want, "sought to %d, not %d", got, want))
	}
	buf := make([]byte, 4)
	return all(
		func() error { _, err := file.WriteAt([]byte("world"), 6); return err },
		func() error { return seeks(0, io.SeekCurrent, 0) },
		func() error { _, err := file.WriteString("hello,"); return err },
		func() error { return seeks(0, io.SeekCurrent, 6) },
		func() error { return seeks(0, io.SeekEnd, 11) },
		func() error { return seeks(-5, io.SeekEnd, 6) },
		func() error {
			n, err := file.ReadAt(buf, 8)
			return expect(n == 3 && err == io.EOF && string(buf[:3]) == "rld", "%d, %v, %q", n, err, buf)
		},
		func() error {
			_, err := file.ReadAt(buf, 4)
			return errors.Join(err, expect(string(buf) == "o,wo", "%q", buf))
		},
		func() error {
			n, err := file.ReadAt(buf, 400)
			return expect(n == 0 && err == io.EOF, "%d, %v", n, err)
		},
		func() error { return seeks(0, io.SeekCurrent, 6) },
		func() error { _, err := file.Seek(-1, io.SeekStart); return expect(err != nil, "sought to -1") },
		func() error {
			_, err := file.Seek(-12, io.SeekEnd)
			return expect(err != nil, "sought to -1 from the end")
		},
		func() error { return seeks(1<<40, io.SeekStart, 1<<40) },
		func() error { n, err := file.Read(buf); return expect(n == 0 && err == io.EOF, "%d, %v", n, err) },
		file.Sync,
		func() error { return os.Remove("/positions") },
	)
}

func renaming() error {
	write := func(name, text string) func() error {
		return func() error { return os.WriteFile(name, []byte(text), 0o644) }
	}
	reads := func(name, want string) func() error {
		return func() error {
			got, err := os.ReadFile(name)
			return errors.Join(err, expect(string(got) == want, "%q, not %q", got, want))
		}
	}
	return all(
		write("/from", "new"),
		write("/over", "old"),
		func() error { return os.Rename("/from", "/over") },
		reads("/over", "new"),
		func() error { return fails(os.Rename("/from", "/over"), fs.ErrNotExist) },
		func() error { return os.MkdirAll("/d1/sub", 0o755) },
		func() error { return os.Mkdir("/d2", 0o755) },
		func() error { return os.Rename("/over", "/d1/sub/file") },
		func() error { return fails(os.Rename("/d1", "/d2"), fs.ErrExist) }, // Go has no directory replaced.
		func() error { return os.Remove("/d2") },
		func() error { return os.Rename("/d1", "/d2") },
		reads("/d2/sub/file", "new"),
		func() error { return expect(os.Rename("/d2", "/d2/sub/in") != nil, "a directory went into itself") },
		func() error { return expect(os.Remove("/d2") != nil, "a full directory was removed") },
		func() error { return os.RemoveAll("/d2") },
		func() error { return os.RemoveAll("/d2") },
	)
}

func times() error {
	then := time.Date(2001, 9, 9, 1, 46, 40, 123_456_789, time.UTC)
	before := time.Now()
	if err := os.WriteFile("/times", nil, 0o644); err != nil {
		return err
	}
	info, err := os.Stat("/times")
	if err != nil {
		return err
	}
	// The host's clock for file times may have a coarse resolution.
	age := info.ModTime().Sub(before)
	return all(
		func() error { return expect(age > -time.Second && age < time.Minute, "made after %v", age) },
		func() error { return os.Chtimes("/times", then.Add(time.Hour), then) },
		func() error {
			info, err := os.Stat("/times")
			return errors.Join(err, expect(info.ModTime().Equal(then), "%v, not %v", info.ModTime(), then))
		},
		func() error { return os.Chtimes("/times", then, time.Time{}) },
		func() error {
			info, err := os.Stat("/times")
			return errors.Join(err, expect(info.ModTime().Equal(then), "%v, not %v", info.ModTime(), then))
		},
		func() error { return os.Remove("/times") },
	)
}

func links() error {
	return all(
		func() error { return os.Symlink("greeting.txt", "/link") },
		func() error { return fails(os.Symlink("other", "/link"), fs.ErrExist) },
		func() error {
			target, err := os.Readlink("/link")
			return errors.Join(err, expect(target == "greeting.txt", "%q", target))
		},
		func() error {
			text, err := os.ReadFile("/link")
			return errors.Join(err, expect(string(text) == "hello from the host\n", "%q", text))
		},
		func() error {
			info, err := os.Lstat("/link")
			return errors.Join(err, expect(info.Mode()&fs.ModeSymlink != 0, "%v", info.Mode()))
		},
		func() error {
			_, err := os.Readlink("/greeting.txt")
			return expect(err != nil, "a file was read as a link")
		},
		func() error { return os.Symlink("../..", "/folder/out") },
		func() error { _, err := os.ReadDir("/folder/out"); return expect(err != nil, "a link led out") },
		func() error { _, err := os.Stat("/folder/out/etc"); return expect(err != nil, "a link led out") },
		func() error { return os.Link("/greeting.txt", "/hard") },
		func() error {
			one, err := os.Stat("/greeting.txt")
			other, err2 := os.Stat("/hard")
			return errors.Join(err, err2, expect(os.SameFile(one, other), "two files"))
		},
		func() error { return expect(os.Link("/folder", "/hard-folder") != nil, "a directory has two names") },
		func() error { return os.Symlink("loop", "/loop") },
		func() error { _, err := os.Open("/loop"); return fails(err, syscall.ELOOP) },
		func() error {
			return errors.Join(os.Remove("/loop"), os.Remove("/hard"), os.Remove("/link"), os.Remove("/folder/out"))
		},
	)
}

// A tree is copied, walked and removed; `os.Root` stays inside of it.
func trees() error {
	if err := os.CopyFS("/copy", os.DirFS("/folder")); err != nil {
		return err
	}
	if err := os.MkdirAll("/copy/x/y/z", 0o755); err != nil {
		return err
	}
	var walked []string
	err := filepath.WalkDir("/copy", func(path string, entry fs.DirEntry, err error) error {
		walked = append(walked, path)
		return err
	})
	want := []string{"/copy", "/copy/digits.txt", "/copy/x", "/copy/x/y", "/copy/x/y/z"}
	root, rootErr := os.OpenRoot("/copy")
	if err := errors.Join(err, rootErr, expect(slices.Equal(walked, want), "walked %q", walked)); err != nil {
		return err
	}
	return all(
		func() error { _, err := root.Stat("x/../digits.txt"); return err },
		func() error { _, err := root.Stat("../greeting.txt"); return expect(err != nil, "a root was left") },
		func() error { return root.Mkdir("made", 0o755) },
		root.Close,
		func() error { return os.Chdir("/copy/x") },
		func() error { return os.WriteFile("relative", []byte("r"), 0o644) },
		func() error { _, err := os.Stat("/copy/x/relative"); return err },
		func() error { return os.Chdir("/") },
		func() error { return os.RemoveAll("/copy") },
		func() error {
			entries, err := os.ReadDir("/")
			return errors.Join(err, expect(len(entries) == 2, "left behind: %v", entries))
		},
	)
}
