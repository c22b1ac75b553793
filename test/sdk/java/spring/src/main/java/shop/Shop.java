package shop;

import java.util.List;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.cloud.context.config.annotation.RefreshScope;
import org.springframework.cloud.openfeign.EnableFeignClients;
import org.springframework.cloud.openfeign.FeignClient;
import org.springframework.context.annotation.Bean;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/** A service of many instances, and who calls it: it depends on the settings which one this is. */
@SpringBootApplication
@EnableFeignClients
public class Shop {
  public static void main(String[] args) {
    SpringApplication.run(Shop.class, args);
  }

  @FeignClient("stock")
  interface Stock {
    @GetMapping("/whoami")
    String whoami();
  }

  @Bean
  @LoadBalanced
  RestTemplate calls() {
    return new RestTemplate();
  }

  @RestController
  @RefreshScope
  static class Settings {
    @Value("${limit:none}")
    String limit;

    @GetMapping("/limit")
    String limit() {
      return limit;
    }
  }

  @RestController
  static class Door {
    final Stock stock;
    final RestTemplate calls;
    final DiscoveryClient discovery;
    @Value("${whoami:nobody}")
    String whoami;

    Door(Stock stock, RestTemplate calls, DiscoveryClient discovery) {
      this.stock = stock;
      this.calls = calls;
      this.discovery = discovery;
    }

    @GetMapping("/whoami")
    String whoami() {
      return whoami;
    }

    @GetMapping("/feign")
    String feign() {
      return stock.whoami();
    }

    @GetMapping("/call")
    String call() {
      return calls.getForObject("http://stock/whoami", String.class);
    }

    @GetMapping("/instances")
    List<String> instances() {
      return discovery.getInstances("stock").stream().map(i -> i.getHost() + ":" + i.getPort()).sorted().toList();
    }

    @GetMapping("/services")
    List<String> services() {
      return discovery.getServices().stream().sorted().toList();
    }
  }
}
