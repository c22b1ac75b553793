package nacos_test

import (
	"strings"
	"testing"
)

const (
	md5Hello = "5d41402abc4b2a76b9719d911017c592"
	md5New   = "22af645d1859cb5ca6da0c484f1f37ea"
)

func TestGrayReleases(t *testing.T) {
	listening := func(md5 string) string {
		return "POST /nacos/v1/cs/configs/listener Listening-Configs=d%02g%02" + md5 + "%01"
	}
	now := "Long-Pulling-Timeout-No-Hangup: true"
	runAll(t, []scenario{
		{"those whose addresses are named get a beta", []step{
			ask("POST "+doc+" content=hello", "200"),
			ask("POST "+doc+" content=new", "200", "=true").with("betaIps: 192.0.2.1, 192.0.2.0/30"),
			ask("GET "+doc, "200", "=hello", ":isBeta: ", ":Content-MD5: "+md5Hello),
			ask("GET "+doc, "200", "=new", ":isBeta: true", ":Content-MD5: "+md5New, ":Muster-Release: beta",
				":Muster-Release-Why: ip 192.0.2.1 is within 192.0.2.1").with("X-Forwarded-For: 192.0.2.1"),
			ask("GET "+doc, "200", "=new").with("X-Forwarded-For: 192.0.2.2"),
			ask("GET "+doc, "200", "=hello").with("X-Forwarded-For: 192.0.2.9"),
			ask(listening(md5Hello), "200", "=").with("Long-Pulling-Timeout: 30000", now),
			ask(listening(md5Hello), "200", "=d%02g%01\n").with("Long-Pulling-Timeout: 30000", "X-Forwarded-For: 192.0.2.1"),
			ask(listening(md5New), "200", "=").with("Long-Pulling-Timeout: 30000", now, "X-Forwarded-For: 192.0.2.1"),
			ask("GET "+doc+"&beta=true", "200", `+{"code":200,"message":"query beta ok","data":{"id":"`, `+"content":"new"`,
				`+"betaIps":"192.0.2.1,192.0.2.0/30"`, `+"dataId":"d"`),
			ask("GET "+doc+"&beta=false", "200", "=hello"),
			ask("DELETE "+doc+"&beta=false", "200", "=true"),
			ask("GET "+doc, "404"),
			ask("GET "+doc, "200", "=new").with("X-Forwarded-For: 192.0.2.1"),
			ask("DELETE "+doc+"&beta=true", "200", `={"code":200,"message":"stop beta ok","data":true}`),
			ask("DELETE "+doc+"&beta=true", "200", `={"code":200,"message":"stop beta ok","data":true}`),
			ask("GET "+doc+"&beta=true", "200", `={"code":200,"message":"query beta ok","data":null}`),
			ask("GET "+doc, "404").with("X-Forwarded-For: 192.0.2.1"),
		}},
		{"those of a tag get what is released for it", []step{
			ask("POST "+doc+"&tag=blue content=new", "200", "=true"),
			ask("GET "+doc, "404", "=config data not exist\n"),
			ask("GET "+doc, "200", "=new", ":Vipserver-Tag: blue", ":tag: blue", ":Muster-Release: tag_blue").with("Vipserver-Tag: blue"),
			ask("GET "+doc, "200", "=new").with("Muster-Client-Tag: blue"),
			ask("POST "+doc+" content=hello", "200"),
			ask("GET "+doc, "200", "=hello", ":Vipserver-Tag: ").with("Vipserver-Tag: red"),
			ask("GET "+doc+"&tag=blue", "200", "=new"),
			ask("GET "+doc+"&tag=red", "404"),
			ask("POST "+doc+" content=third", "200").with("betaIps: 192.0.2.1"),
			ask("GET "+doc, "200", "=third", ":isBeta: true").with("Vipserver-Tag: blue", "X-Forwarded-For: 192.0.2.1"),
			ask("GET "+doc+"&tag=blue", "200", "=new").with("X-Forwarded-For: 192.0.2.1"),
			ask("DELETE "+doc+"&tag=red", "200", "=true"),
			ask("DELETE "+doc+"&tag=tag_blue", "200", "=true"),
			ask("GET "+doc+"&tag=blue", "404"),
			ask("GET "+doc, "200", "=hello").with("Vipserver-Tag: blue"),
		}},
		{"a release that matches nobody is refused, and changes nothing", []step{
			ask("POST "+doc+" content=hello", "200"),
			ask("POST "+doc+" content=new", "400", "+neither an address nor a prefix").with("betaIps: here"),
			ask("POST "+doc+" content=new", "400", "+names nobody").with("betaIps: ,"),
			ask("POST "+doc, "400").with("betaIps: 192.0.2.1"),
			ask("POST "+doc+"&tag=x+y content=new", "400", "=caused: invalid tag : x y;"),
			ask("POST "+doc+"&tag="+strings.Repeat("t", 17)+" content=new", "400", "=caused: too long tag, over 16;"),
			ask("GET "+doc, "200", "=hello").with("X-Forwarded-For: 192.0.2.1"),
		}},
		{"what belongs in a header counts as a parameter too", []step{
			ask("POST "+doc+" content=hello", "200"),
			ask("POST "+doc+"&betaIps=192.0.2.1 content=new", "200"),
			ask("POST "+doc+"&casMd5=0123 content=third", "500", "=false"),
			ask("GET "+doc, "200", "=hello"),
			ask("GET "+doc, "200", "=new").with("X-Forwarded-For: 192.0.2.1"),
		}},
		{"a condition is held against the release", []step{
			ask("POST "+doc+" content=hello", "200"),
			ask("POST "+doc+" content=new", "200", "=true").with("betaIps: 192.0.2.1"),
			ask("POST "+doc+" content=third", "500", "=false").with("betaIps: 192.0.2.1", "casMd5: "+md5Hello),
			ask("POST "+doc+" content=third", "200", "=true").with("betaIps: 192.0.2.1", "casMd5: "+md5New),
		}},
	})
}

func TestWhatIsToldOfADocument(t *testing.T) {
	runAll(t, []scenario{
		{"all that was published is told again", []step{
			ask("POST "+doc+"&use=u&effect=e&schema=s&desc=about&appName=a&config_tags=x&encryptedDataKey=k content=hello", "200"),
			ask("GET "+doc, "200", "=hello", ":Encrypted-Data-Key: k"),
			ask("GET "+doc+"&show=all", "200", `+"use":"u","effect":"e","schema":"s","configTags":"x"`, `+"encryptedDataKey":"k"`),
		}},
		{"what is too long is false, with the reason aside", []step{
			ask("POST "+doc+"&desc="+strings.Repeat("d", 129)+" content=x", "400", "=false"),
			ask("POST "+doc+"&use="+strings.Repeat("d", 33)+" content=x", "400", "=false"),
			ask("POST "+doc+"&effect="+strings.Repeat("d", 33)+" content=x", "400", "=false", `:Muster-Reason: effect: "`+strings.Repeat("d", 33)+`" is longer than 32 characters`),
			ask("POST "+doc+"&type="+strings.Repeat("d", 33)+" content=x", "400", "=false"),
			ask("POST "+doc+"&schema="+strings.Repeat("d", 32769)+" content=x", "400", "=false"),
			ask("POST "+doc+"&config_tags="+strings.Repeat("d", 65)+" content=x", "400", "=false"),
			ask("GET "+doc, "404"),
		}},
		{"ids stand for documents", []step{
			ask("POST "+doc+" content=hello", "200"),
			ask("DELETE /nacos/v1/cs/configs?delType=ids&ids=1,2", "200", `={"code":200,"message":null,"data":true}`),
			ask("DELETE /nacos/v1/cs/configs?delType=ids&ids=x", "400", "=caused: invalid id : x;"),
			ask("DELETE /nacos/v1/cs/configs?delType=ids", "400"),
			ask("GET "+doc, "200"),
		}},
	})
}
