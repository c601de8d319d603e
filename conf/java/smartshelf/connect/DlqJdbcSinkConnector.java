package smartshelf.connect;

import io.debezium.connector.jdbc.JdbcSinkConnector;
import org.apache.kafka.connect.connector.Task;

/** Debezium's JDBC sink with tasks that have dead letters and wait out a database that is away. */
public class DlqJdbcSinkConnector extends JdbcSinkConnector {
    @Override
    public Class<? extends Task> taskClass() {
        return DlqJdbcSinkTask.class;
    }
}
