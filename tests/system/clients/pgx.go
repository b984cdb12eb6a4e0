// What Go programs do with PostgreSQL, by pgx 4 and database/sql. Arguments: connection string.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	_ "github.com/jackc/pgx/v4/stdlib"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(ok bool, what string) {
	if !ok {
		must(errors.New("failed: " + what))
	}
	fmt.Println(what)
}

func refused(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "42501" && e.Message == "hands off"
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, os.Args[1])
	must(err)

	var n int
	var s string
	var b []byte
	must(c.QueryRow(ctx, "SELECT $1::int + 1, $2::text, $3::bytea", 41, "naïve", []byte{0, 255}).Scan(&n, &s, &b))
	check(n == 42 && s == "naïve" && len(b) == 2, "parameters")

	_, err = c.Prepare(ctx, "double", "SELECT $1::int * 2")
	must(err)
	for i := 0; i < 10; i++ {
		must(c.QueryRow(ctx, "double", i).Scan(&n))
		check(n == i*2, "prepared")
	}

	_, err = c.Exec(ctx, "CREATE TEMPORARY TABLE t (i int, v text)")
	must(err)
	batch := &pgx.Batch{}
	for i := 0; i < 500; i++ {
		batch.Queue("INSERT INTO t VALUES ($1, $2)", i, fmt.Sprint("v", i))
	}
	batch.Queue("SELECT count(*) FROM t")
	results := c.SendBatch(ctx, batch)
	for i := 0; i < 500; i++ {
		_, err = results.Exec()
		must(err)
	}
	must(results.QueryRow().Scan(&n))
	must(results.Close())
	check(n == 500, "batch")

	rows := [][]interface{}{}
	for i := 0; i < 5000; i++ {
		rows = append(rows, []interface{}{int32(i), fmt.Sprint("c", i)})
	}
	copied, err := c.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"i", "v"}, pgx.CopyFromRows(rows))
	must(err)
	check(copied == 5000, "copy")

	// A batch with a refusal in its middle fails there, and the connection goes on.
	batch = &pgx.Batch{}
	batch.Queue("SELECT 1")
	batch.Queue("SELECT a FROM public.forbidden WHERE a = $1", 1)
	batch.Queue("SELECT 3")
	err = c.SendBatch(ctx, batch).Close()
	check(refused(err), "refusal in a batch")
	_, err = c.Exec(ctx, "DELETE FROM public.forbidden WHERE a = $1", 1)
	check(refused(err), "refusal")
	must(c.QueryRow(ctx, "SELECT 3").Scan(&n))
	check(n == 3, "session goes on")

	tx, err := c.Begin(ctx)
	must(err)
	inner, err := tx.Begin(ctx)
	must(err)
	_, err = inner.Exec(ctx, "TABLE public.forbidden")
	check(refused(err), "refusal in a transaction")
	must(inner.Rollback(ctx))
	_, err = tx.Exec(ctx, "INSERT INTO t VALUES (-1, NULL)")
	must(err)
	must(tx.Commit(ctx))
	must(c.QueryRow(ctx, "SELECT count(*) FROM t WHERE i = -1").Scan(&n))
	check(n == 1, "savepoint")

	_, err = c.Exec(ctx, "LISTEN news")
	must(err)
	_, err = c.Exec(ctx, "NOTIFY news, 'hello'")
	must(err)
	note, err := c.WaitForNotification(ctx)
	must(err)
	check(note.Payload == "hello", "notification")
	must(c.Close(ctx))

	db, err := sql.Open("pgx", os.Args[1])
	must(err)
	st, err := db.PrepareContext(ctx, "SELECT $1::text")
	must(err)
	for i := 0; i < 20; i++ {
		must(st.QueryRowContext(ctx, fmt.Sprint(i)).Scan(&s))
	}
	must(db.Close())
	check(s == "19", "database/sql")
}
