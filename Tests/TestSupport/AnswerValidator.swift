// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What the API was asked and answered, as a client saw it.
public struct APIAnswer: Codable, Sendable {
  public var method: String
  public var target: String
  public var request: String
  public var status: Int
  /// The header field Content-Type; empty without one.
  public var type: String
  public var content: String
  /// The status line and the header fields.
  public var head: String

  public init(
    method: String, target: String, request: String, status: Int, type: String, content: String,
    head: String = ""
  ) {
    self.method = method
    self.target = target
    self.request = request
    self.status = status
    self.type = type
    self.content = content
    self.head = head
  }
}

/// Holds answers against the API's OpenAPI document, by Debian's python3-jsonschema.
public enum AnswerValidator {
  public struct Verdict: Decodable {
    /// A line per answer or schema that is not as it should be.
    public var complaints: [String]
    /// `GET /v1/services` of those that the document has and that succeeded here.
    public var succeeded: Set<String>
    /// All that the document has.
    public var operations: Set<String>
  }

  private struct Case: Encodable {
    var document: String
    var answers: [APIAnswer]
  }

  public static func verdict(on answers: [APIAnswer], by document: String) throws -> Verdict {
    let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString).json"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try JSONEncoder().encode(Case(document: document, answers: answers))
      .write(to: URL(filePath: path))
    let (ending, output) = try Child.run(["/usr/bin/python3", "-c", program, path], seconds: 60)
    guard ending == .exit(0) else { throw Failure("the validator: \(ending)\n\(output)") }
    return try JSONDecoder().decode(Verdict.self, from: Data(output.utf8))
  }

  private static let program = #"""
    import json, re, sys
    from jsonschema import Draft202012Validator as Validator

    case = json.load(open(sys.argv[1]))
    document = json.loads(case["document"])
    complaints, succeeded, operations = [], set(), {}
    for name, schema in document["components"]["schemas"].items():
        Validator.check_schema(schema)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operations[method.upper() + " " + path] = operation

    def wrong(schema, text):
        root = dict(schema, components=document["components"])
        return [error.json_path + ": " + error.message[:200]
                for error in Validator(root).iter_errors(json.loads(text))]

    def name_of(answer):
        path = answer["target"].split("?")[0]
        method = answer["method"].replace("HEAD", "GET")
        for name in operations:
            template = re.sub(r"\{[^}]*\}", "[^/]+", name)
            if re.fullmatch(template, method + " " + path):
                return name

    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for answer in case["answers"]:
        name, status = name_of(answer), answer["status"]
        said = answer["method"] + " " + answer["target"] + " " + str(status)
        responses = operations[name]["responses"] if name else {"default": {"content": problem}}
        content = responses.get(str(status), responses["default"]).get("content")
        found = []
        if not content:
            found = ["content where there is none"] if answer["content"] else []
        elif answer["method"] != "HEAD":
            kind = answer["type"].split(";")[0]
            if kind not in content:
                found = ["the type " + kind]
            elif kind.endswith("json"):
                found = wrong(content[kind]["schema"], answer["content"])
                if not found and kind == "application/problem+json":
                    said_so = json.loads(answer["content"])["status"]
                    found = [] if said_so == status else ["status " + str(said_so)]
        if status < 300 and name:
            succeeded.add(name)
            body = operations[name].get("requestBody")
            if body:
                found += wrong(body["content"]["application/json"]["schema"], answer["request"])
        complaints += [said + ": " + each for each in found]
    json.dump({"complaints": complaints, "succeeded": sorted(succeeded),
               "operations": sorted(operations)}, sys.stdout)
    """#
}
