package traffic

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// plainPostgres pipelines what belongs together, as the adapter does: a
// pipeline without BEGIN is one transaction.
type plainPostgres struct{ pool *pgxpool.Pool }

func openPlainPostgres(ctx context.Context, url string) (*plainPostgres, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	for _, q := range plainTables {
		if _, err := pool.Exec(ctx, q); err != nil {
			return nil, err
		}
	}
	return &plainPostgres{pool}, nil
}

func (p *plainPostgres) send(ctx context.Context, queue func(*pgx.Batch)) error {
	var b pgx.Batch
	queue(&b)
	return p.pool.SendBatch(ctx, &b).Close()
}

func (p *plainPostgres) token(ctx context.Context, hash []byte) error {
	var name string
	return p.pool.QueryRow(ctx, `SELECT name FROM token WHERE hash = $1`, hex.EncodeToString(hash)).Scan(&name)
}

func (p *plainPostgres) read(ctx context.Context, person, purpose string, categories []string) (map[string]string, error) {
	rows, err := p.pool.Query(ctx, `SELECT i.category, i.value, s.newsletter FROM person s JOIN item i ON i.person = s.id WHERE s.id = $1 AND i.category = ANY($2)`, person, categories)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var category, value, newsletter string
		if err := rows.Scan(&category, &value, &newsletter); err != nil {
			return nil, err
		}
		out[category] = value
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	_, err = p.pool.Exec(ctx, `INSERT INTO audit (at, person, purpose, what) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		time.Now().UnixNano(), person, purpose, "read")
	return out, err
}

func (p *plainPostgres) consent(ctx context.Context, person, purpose, action string, evidence []byte) error {
	return p.send(ctx, func(b *pgx.Batch) {
		b.Queue(`UPDATE person SET version = version + 1, newsletter = $2 WHERE id = $1`, person, action)
		b.Queue(`INSERT INTO consent (person, at, purpose, action, evidence) VALUES ($1, $2, $3, $4, $5)`, person, time.Now().UnixNano(), purpose, action, string(evidence))
	})
}

func (p *plainPostgres) collect(ctx context.Context, person, source string, values map[string]string) error {
	return p.send(ctx, func(b *pgx.Batch) {
		b.Queue(`UPDATE person SET version = version + 1 WHERE id = $1`, person)
		for category, value := range values {
			b.Queue(`INSERT INTO item (person, category, value, source, at) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (person, category) DO UPDATE SET value = excluded.value, source = excluded.source, at = excluded.at`,
				person, category, value, source, time.Now().UnixNano())
		}
	})
}

func (p *plainPostgres) seed(ctx context.Context, people []string, tokenHash []byte) error {
	return p.send(ctx, func(b *pgx.Batch) {
		b.Queue(`INSERT INTO token (hash, name) VALUES ($1, 'app')`, hex.EncodeToString(tokenHash))
		for _, id := range people {
			b.Queue(`INSERT INTO person (id) VALUES ($1)`, id)
			b.Queue(`INSERT INTO item (person, category, value, source, at) VALUES ($1, 'person.name', 'Mira Okafor', 'checkout', 0), ($1, 'person.email', $2, 'checkout', 0)`, id, id+"@example.test")
		}
	})
}

func (p *plainPostgres) close() { p.pool.Close() }
