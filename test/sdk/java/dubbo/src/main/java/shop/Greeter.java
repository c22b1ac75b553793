package shop;

import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/** A service of Dubbo, and who calls it: "provide NAME", or "consume PORT", which answers over HTTP. */
public class Greeter {
  static final String VERSION = "1.0.0";

  public static void main(String[] args) throws Exception {
    DubboBootstrap dubbo = DubboBootstrap.getInstance();
    if (args[0].equals("provide")) {
      ServiceConfig<Greetings> service = new ServiceConfig<>();
      service.setInterface(Greetings.class);
      service.setVersion(VERSION);
      service.setRef(() -> args[1]);
      dubbo.service(service).start().await();
      return;
    }
    ReferenceConfig<Greetings> reference = new ReferenceConfig<>();
    reference.setInterface(Greetings.class);
    reference.setVersion(VERSION);
    reference.setCheck(false);
    dubbo.reference(reference).start();
    Greetings greetings = reference.get();
    HttpServer door = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[1])), 0);
    door.setExecutor(Executors.newCachedThreadPool());
    door.createContext("/call", exchange -> {
      int status = 200;
      String answer;
      try {
        answer = greetings.whoami();
      } catch (RuntimeException e) {
        status = 503;
        answer = String.valueOf(e.getMessage());
      }
      byte[] body = answer.getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(status, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    door.start();
    dubbo.await();
  }
}
