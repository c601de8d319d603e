package smartshelf.connect;

import io.debezium.connector.jdbc.JdbcSinkConnectorTask;
import java.io.IOException;
import java.sql.SQLException;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.RetriableException;
import org.apache.kafka.connect.sink.ErrantRecordReporter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Wraps the task of Debezium's JDBC sink 3.6, which fails for good at the first row that the
 * database refuses and at some kinds of outage. Here
 *
 * <ul>
 *   <li>a row that the database refuses goes to the dead-letter topic with the database's reason,
 *       and the other rows of its batch are written;
 *   <li>a database that is away, at the start too, is waited for without losing the position.
 * </ul>
 *
 * <p>The wrapped task remembers its first failure and cannot be reset, so each recovery takes a
 * new one. A crash between a dead letter and the commit of the position repeats that dead letter.
 * Debezium 3.7's own sink makes this class unnecessary.
 */
public class DlqJdbcSinkTask extends SinkTask {
    private static final Logger LOG = LoggerFactory.getLogger(DlqJdbcSinkTask.class);

    /** SQLSTATE classes of a bad row: data exception, integrity constraint violation. */
    private static final Pattern REFUSED = Pattern.compile("2[23].*");

    /** SQLSTATE classes of an outage: connection, rollback, resources, intervention (start-up), system. */
    private static final Pattern AWAY = Pattern.compile("(08|40|53|55|57|58).*");

    private static final long RETRY_MS = 1000;

    private final Set<TopicPartition> assigned = new HashSet<>();
    private Map<String, String> properties;
    private ErrantRecordReporter deadLetters;

    /** The wrapped task; null while the database is away. */
    private JdbcSinkConnectorTask inner;

    @Override
    public String version() {
        return new JdbcSinkConnectorTask().version();
    }

    @Override
    public void start(Map<String, String> properties) {
        this.properties = properties;
        deadLetters = context.errantRecordReporter();
        try {
            renew();
        } catch (RetriableException outage) {
            LOG.warn("The database does not answer at the start, will try again: {}", outage.getMessage());
        }
    }

    @Override
    public void stop() {
        drop();
    }

    @Override
    public void open(Collection<TopicPartition> partitions) {
        assigned.addAll(partitions);
        if (inner != null) {
            inner.open(partitions);
        }
    }

    @Override
    public void close(Collection<TopicPartition> partitions) {
        assigned.removeAll(partitions);
        if (inner != null) {
            inner.close(partitions);
        }
    }

    @Override
    public Map<TopicPartition, OffsetAndMetadata> preCommit(Map<TopicPartition, OffsetAndMetadata> offsets) {
        // While the database is away put() keeps throwing, so Connect offers only what was written.
        return inner == null ? offsets : inner.preCommit(offsets);
    }

    @Override
    public void put(Collection<SinkRecord> records) {
        if (records.isEmpty()) {
            return;
        }
        if (inner == null) {
            renew();
        }
        // The wrapped put() never throws for a failure of its own, it remembers it.
        inner.put(records);
        Throwable failure = inner.getLastProcessingException();
        if (failure == null) {
            return;
        }
        requireRefusedRow(failure);
        LOG.warn("A batch of {} records failed, writing them one by one: {}", records.size(), root(failure).getMessage());
        renew();
        for (SinkRecord record : records) {
            putAlone(record);
        }
    }

    private void putAlone(SinkRecord record) {
        inner.put(List.of(record));
        Throwable failure = inner.getLastProcessingException();
        if (failure == null) {
            return;
        }
        requireRefusedRow(failure);
        try {
            deadLetters.report(record, root(failure)).get();
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new ConnectException("Interrupted while writing a dead letter", interrupted);
        } catch (ExecutionException failed) {
            throw new ConnectException("Could not write a dead letter", failed);
        }
        renew();
    }

    /** Returns for a refused row; RetriableException for an outage, ConnectException for all else (a missing column). */
    private void requireRefusedRow(Throwable failure) {
        Throwable cause = root(failure);
        String state = cause instanceof SQLException sql ? String.valueOf(sql.getSQLState()) : "";
        if (REFUSED.matcher(state).matches() && deadLetters != null) {
            return;
        }
        if (cause instanceof IOException || AWAY.matcher(state).matches()) {
            drop();
            throw away(cause);
        }
        throw new ConnectException("The JDBC sink failed", failure);
    }

    private RetriableException away(Throwable cause) {
        context.timeout(RETRY_MS);
        return new RetriableException(cause.toString(), cause);
    }

    private void renew() {
        drop();
        JdbcSinkConnectorTask task = new JdbcSinkConnectorTask();
        task.initialize(context);
        try {
            task.start(properties);
        } catch (RuntimeException failure) {
            stopQuietly(task);
            if (failure instanceof ConnectException) {
                throw failure; // a wrong configuration
            }
            throw away(root(failure)); // Hibernate hides the SQL error here, so all else counts as an outage
        }
        inner = task;
        inner.open(assigned);
    }

    private void drop() {
        JdbcSinkConnectorTask task = inner;
        inner = null;
        if (task != null) {
            stopQuietly(task);
        }
    }

    /** A task whose connection broke fails to stop, too; there is nothing left to save in it. */
    private static void stopQuietly(JdbcSinkConnectorTask task) {
        try {
            task.stop();
        } catch (RuntimeException failure) {
            LOG.warn("The wrapped task did not stop cleanly: {}", failure.toString());
        }
    }

    private static Throwable root(Throwable failure) {
        Throwable cause = failure;
        while (cause.getCause() != null && cause.getCause() != cause) {
            cause = cause.getCause();
        }
        return cause;
    }
}
