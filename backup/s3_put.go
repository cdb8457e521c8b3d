package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"
)

// abortTimeout bounds giving up the parts of an upload that has failed. Sweep does it otherwise.
const abortTimeout = 10 * time.Second

// Put implements Store. What is sent is held in memory, so that it can be sent again, and is
// signed with its SHA-256, which the store compares. A large object is sent in parts, which become
// an object together.
func (s *s3) Put(ctx context.Context, name string, size int64, r io.Reader) error {
	part := make([]byte, min(size, s3PartBytes))
	if size > s3PartBytes {
		return s.putParts(ctx, name, size, r, part)
	}
	sum, err := readPart(r, part, true)
	if err != nil {
		return err
	}
	return s.patiently(ctx, "writing", name, func() error {
		_, err := s.core.PutObject(ctx, s.bucket, s.prefix+name, bytes.NewReader(part), size, "", sum, putOptions)
		return err
	})
}

var putOptions = minio.PutObjectOptions{
	ContentType:          "application/octet-stream",
	DisableContentSha256: true, // of chunks; there is one of the whole
}

// readPart fills a part and returns its SHA-256. Behind the last one there is nothing.
func readPart(r io.Reader, part []byte, isLast bool) (sum string, err error) {
	n, err := io.ReadFull(r, part)
	if err == nil && isLast {
		var more int
		if more, err = io.ReadFull(r, make([]byte, 1)); errors.Is(err, io.EOF) {
			err = nil
		}
		n += more
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || n > len(part) {
		return "", fmt.Errorf("%w: it has %d bytes where %d are due", ErrDamaged, n, len(part))
	}
	whole := sha256.Sum256(part)
	return hex.EncodeToString(whole[:]), err
}

// putParts sends an object in parts of the size of buffer. After an error there is nothing of it.
func (s *s3) putParts(ctx context.Context, name string, size int64, r io.Reader, buffer []byte) (err error) {
	key, id := s.prefix+name, ""
	err = s.patiently(ctx, "writing", name, func() (err error) {
		id, err = s.core.NewMultipartUpload(ctx, s.bucket, key, putOptions)
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
			defer cancel()
			_ = s.core.AbortMultipartUpload(ctx, s.bucket, key, id)
		}
	}()
	var parts []minio.CompletePart
	for left := size; left > 0; left -= int64(len(buffer)) {
		buffer = buffer[:min(left, int64(len(buffer)))]
		sum, err := readPart(r, buffer, left == int64(len(buffer)))
		if err != nil {
			return err
		}
		number := len(parts) + 1
		err = s.patiently(ctx, fmt.Sprintf("writing part %d of", number), name, func() error {
			part, err := s.core.PutObjectPart(ctx, s.bucket, key, id, number, bytes.NewReader(buffer), int64(len(buffer)),
				minio.PutObjectPartOptions{Sha256Hex: sum, DisableContentSha256: true})
			if err == nil {
				parts = append(parts, minio.CompletePart{PartNumber: number, ETag: part.ETag})
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.complete(ctx, name, id, parts)
}

// complete makes an object of its parts. When the answer to a first attempt was lost there is no
// such upload any more for the second.
func (s *s3) complete(ctx context.Context, name, id string, parts []minio.CompletePart) error {
	attempts := 0
	return s.patiently(ctx, "completing", name, func() error {
		attempts++
		_, err := s.core.CompleteMultipartUpload(ctx, s.bucket, s.prefix+name, id, parts, minio.PutObjectOptions{})
		if attempts > 1 && codeOf(err) == minio.NoSuchUpload {
			_, err = s.core.StatObject(ctx, s.bucket, s.prefix+name, minio.StatObjectOptions{})
		}
		return err
	})
}
