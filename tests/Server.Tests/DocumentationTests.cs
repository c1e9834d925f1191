using System.Text.RegularExpressions;
using LlamaServe.Testing;

namespace LlamaServe.Server.Tests;

/// <summary>What the documents name exists: paths, links, and the files and types of CONTRIBUTING's recipes.</summary>
public sealed partial class DocumentationTests
{
    private static readonly string Root = RepositoryPaths.Root;

    private static readonly string[] TopFolders = ["bench/", "docs/", "engine/", "kernels/", "models/", "server/", "tests/", ".ci/"];

    private static IEnumerable<string> Documents() =>
        Directory.EnumerateFiles(Path.Combine(Root, "docs"), "*.md")
            .Append(Path.Combine(Root, "README.md"))
            .Append(Path.Combine(Root, "CONTRIBUTING.md"))
            .Select(path => Path.GetRelativePath(Root, path));

    [TestCaseSource(nameof(Documents))]
    public void Every_path_that_a_document_names_exists(string document)
    {
        string text = File.ReadAllText(Path.Combine(Root, document));
        string[] missing = [.. CodeSpan().Matches(text)
            .Select(match => match.Groups[1].Value)
            .Where(span => TopFolders.Any(folder => span.StartsWith(folder, StringComparison.Ordinal)) && !span.Any(char.IsWhiteSpace))
            .Where(span => !span.Contains('<') && !Exists(Path.Combine(Root, span)))];
        Assert.That(missing, Is.Empty, $"{document} names paths that do not exist");
    }

    [TestCaseSource(nameof(Documents))]
    public void Every_relative_link_resolves(string document)
    {
        string folder = Path.GetDirectoryName(Path.Combine(Root, document))!;
        string[] broken = [.. Link().Matches(File.ReadAllText(Path.Combine(Root, document)))
            .Select(match => match.Groups[1].Value)
            .Where(target => !target.Contains("://", StringComparison.Ordinal) && !target.StartsWith('#'))
            .Where(target => !Exists(Path.Combine(folder, target.Split('#')[0])))];
        Assert.That(broken, Is.Empty, $"{document} has links that lead nowhere");
    }

    [Test]
    public void Every_type_that_a_recipe_names_is_declared()
    {
        string sources = string.Concat(TopFolders
            .Select(folder => Path.Combine(Root, folder))
            .Where(Directory.Exists)
            .SelectMany(folder => Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories))
            .Select(File.ReadAllText));
        HashSet<string> declared = [.. Declaration().Matches(sources).Select(match => match.Groups[1].Value)];
        string[] unknown = [.. CodeSpan().Matches(File.ReadAllText(Path.Combine(Root, "CONTRIBUTING.md")))
            .Select(match => match.Groups[1].Value)
            .Where(span => TypeName().IsMatch(span) && !declared.Contains(span))];
        Assert.That(unknown, Is.Empty, "CONTRIBUTING.md names types that do not exist");
    }

    private static bool Exists(string path) => File.Exists(path) || Directory.Exists(path);

    [GeneratedRegex("`([^`\n]+)`")]
    private static partial Regex CodeSpan();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"\b(?:class|struct|record|record struct|enum|interface) (I?[A-Z]\w+)")]
    private static partial Regex Declaration();

    // Upper camel case with at least two humps: a type's name rather than a word, a flag or a format.
    [GeneratedRegex("^I?(?:[A-Z][a-z0-9]+){2,}$")]
    private static partial Regex TypeName();
}
