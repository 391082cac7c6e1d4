package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// assign puts a value into the setting's place: a string from the environment
// or a flag, or what YAML made of the file.
func (s Setting) assign(cfg *Config, value any) error {
	place := s.of(cfg)
	if s.Type == "list" {
		list, err := listOf(value)
		place.Set(reflect.ValueOf(list))
		return err
	}
	text, err := scalar(value)
	if err != nil {
		return err
	}
	switch s.Type {
	case "text":
		place.SetString(text)
	case "bool":
		v, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		place.SetBool(v)
	case "duration":
		v, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is no duration: want a number with its unit, such as 150ms or 1h", text)
		}
		place.SetInt(int64(v))
		return s.bounded(text, int64(v))
	default:
		v, err := strconv.ParseInt(text, 10, place.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		place.SetInt(v)
		return s.bounded(text, v)
	}
	return nil
}

// bounded refuses what is below 0, and 0 itself where it means nothing.
func (s Setting) bounded(text string, v int64) error {
	switch {
	case v < 0:
		return fmt.Errorf("%s is below 0", text)
	case v == 0 && !s.zero:
		return fmt.Errorf("%s is too small: want more than 0", text)
	default:
		return nil
	}
}

// scalar returns a single value as text.
func scalar(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return strings.TrimSpace(v), nil
	case nil:
		return "", errors.New(`no value; "" is the empty text`)
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(v), nil
	default:
		return "", errors.New("want one value, not a list or a section")
	}
}

// listOf returns the words of a list.
func listOf(value any) ([]string, error) {
	items, ok := value.([]any)
	if !ok {
		text, err := scalar(value)
		if err != nil {
			return nil, err
		}
		for word := range strings.SplitSeq(text, ",") {
			items = append(items, word)
		}
	}
	var words []string
	for _, item := range items {
		word, err := scalar(item)
		if err != nil {
			return nil, err
		}
		if word != "" {
			words = append(words, word)
		}
	}
	return words, nil
}
