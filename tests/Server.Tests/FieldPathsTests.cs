using System.Reflection;
using Google.Protobuf.Reflection;
using LlamaServe.Engine.Requests;
using LlamaServe.Server.Mapping;
using LlamaServe.V1;

namespace LlamaServe.Server.Tests;

/// <summary>Every property that the engine may refuse has a name on the wire.</summary>
public sealed class FieldPathsTests
{
    private static readonly string[] Headers = [FieldPaths.TenantHeader, "grpc-timeout"];

    private static IEnumerable<string> Properties() =>
        new[] { typeof(GenerationRequest), typeof(SamplingParameters) }
            .SelectMany(type => type.GetProperties(BindingFlags.Public | BindingFlags.Instance))
            .Select(property => property.Name);

    [TestCaseSource(nameof(Properties))]
    public void An_engine_property_has_a_path_that_exists(string property)
    {
        string? path = FieldPaths.Of(property, textPrompt: false);
        Assert.That(path, Is.Not.Null);
        Assert.That(Headers.Contains(path) || Exists(GenerateRequest.Descriptor, path!.Split('.')), path);
    }

    [Test]
    public void A_prompt_that_came_as_text_is_named_so()
    {
        Assert.That(FieldPaths.Of(nameof(GenerationRequest.PromptTokenIds), textPrompt: true), Is.EqualTo("text"));
        Assert.That(FieldPaths.Of("NoSuchProperty", textPrompt: true), Is.Null);
    }

    private static bool Exists(MessageDescriptor message, ReadOnlySpan<string> path)
    {
        FieldDescriptor? field = message.FindFieldByName(path[0]);
        return field is not null && (path.Length == 1 || Exists(field.MessageType, path[1..]));
    }
}
