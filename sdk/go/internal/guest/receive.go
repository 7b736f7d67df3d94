package guest

var handler func() error

// Register sets what a delivery calls, which finds it in Delivered and Val.
func Register(fn func() error) error {
	if !HasHost {
		return ErrNoHost
	}
	if handler != nil {
		return ErrHandlerExists
	}
	handler = fn
	return nil
}

// Deliver calls the handler for what the host has written.
func Deliver() {
	if handler == nil {
		SetErr("no handler is registered on this instance")
		return
	}
	defer ReportPanic()
	err := handler()
	// Always written: it may hold the error text of a verb that the handler called.
	switch {
	case err == nil:
		errLen = 0
	case err.Error() == "":
		SetErr("the handler failed without a text")
	default:
		SetErr(err.Error())
	}
}

// ReportPanic writes the text of a panic to where the host looks for it, and goes on with it.
func ReportPanic() {
	switch reason := recover().(type) {
	case nil:
	case error:
		SetErr("panic: " + reason.Error())
		panic(reason)
	case string:
		SetErr("panic: " + reason)
		panic(reason)
	default:
		SetErr("panic, whose text is on stderr")
		panic(reason)
	}
}
