using Google.Protobuf.Reflection;
using LlamaServe.Testing;
using LlamaServe.V1;

namespace LlamaServe.Server.Tests;

/// <summary>The contract is what clients were built against: names, numbers and types of a released field never change.</summary>
public sealed class WireContractTests
{
    private static readonly string GoldenPath = Path.Combine(RepositoryPaths.Root, "tests", "Server.Tests", "generation.golden.txt");

    [Test]
    public void The_contract_is_the_recorded_one()
    {
        string[] actual = [.. Lines(GenerationReflection.Descriptor)];
        string[] golden = File.ReadAllLines(GoldenPath);
        Assert.Multiple(() =>
        {
            Assert.That(golden.Except(actual), Is.Empty, "lines that are gone or changed break clients");
            Assert.That(actual.Except(golden), Is.Empty, $"lines that are new have to be added to {Path.GetFileName(GoldenPath)}");
        });
    }

    [Test]
    public void Every_field_and_call_is_documented()
    {
        string[] lines = File.ReadAllLines(Path.Combine(RepositoryPaths.Root, "server", "protos", "llamaserve", "v1", "generation.proto"));
        List<string> bare = [];
        for (int i = 1; i < lines.Length; i++)
        {
            bool isDeclaration = lines[i].StartsWith("  ", StringComparison.Ordinal) && (lines[i].Contains(" = ") || lines[i].Contains("rpc "));
            if (isDeclaration && !lines[i].TrimStart().StartsWith("//", StringComparison.Ordinal) && !lines[i - 1].TrimStart().StartsWith("//", StringComparison.Ordinal))
            {
                bare.Add(lines[i].Trim());
            }
        }
        Assert.That(bare, Is.Empty);
    }

    private static IEnumerable<string> Lines(FileDescriptor file)
    {
        foreach (MethodDescriptor method in file.Services.SelectMany(s => s.Methods))
        {
            string stream = method.IsServerStreaming ? "stream " : "";
            yield return $"rpc {method.FullName}({method.InputType.FullName}) returns ({stream}{method.OutputType.FullName})";
        }
        foreach (FieldDescriptor field in file.MessageTypes.SelectMany(m => m.Fields.InDeclarationOrder()))
        {
            yield return $"{field.FullName} = {field.FieldNumber}: {Kind(field)}";
        }
        foreach (EnumValueDescriptor value in file.EnumTypes.SelectMany(e => e.Values))
        {
            yield return $"{value.EnumDescriptor.FullName}.{value.Name} = {value.Number}";
        }
    }

    private static string Kind(FieldDescriptor field)
    {
        string type = field.FieldType switch
        {
            FieldType.Message when field.IsMap => $"map<{Kind(field.MessageType.FindFieldByName("key"))}, {Kind(field.MessageType.FindFieldByName("value"))}>",
            FieldType.Message => field.MessageType.FullName,
            FieldType.Enum => field.EnumType.FullName,
            _ => field.FieldType.ToString().ToLowerInvariant(),
        };
        string label = field switch
        {
            { IsMap: true } => "",
            { IsRepeated: true } => "repeated ",
            { RealContainingOneof: { } oneof } => $"oneof {oneof.Name} ",
            { HasPresence: true, FieldType: not FieldType.Message } => "optional ",
            _ => "",
        };
        return label + type;
    }
}
