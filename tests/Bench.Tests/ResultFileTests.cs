using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Tests;

internal sealed class ResultFileTests
{
    private string _folder = "";

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory().FullName;

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void A_place_that_can_be_written_is_left_as_it_was()
    {
        string missing = Path.Combine(_folder, "new.json"), kept = Path.Combine(_folder, "old.json");
        File.WriteAllText(kept, "before");

        Assert.That(ResultFile.Reserve(missing, "serve"), Is.EqualTo(missing));
        Assert.That(ResultFile.Reserve(kept, "serve"), Is.EqualTo(kept));
        Assert.That(File.Exists(missing), Is.False);
        Assert.That(File.ReadAllText(kept), Is.EqualTo("before"));
    }

    [Test]
    public void A_missing_folder_is_found_before_the_run() =>
        Assert.That(
            () => ResultFile.Reserve(Path.Combine(_folder, "none", "result.json"), "serve"), Throws.InstanceOf<IOException>().With.Message.Contains("cannot be written"));

    [Test]
    public void A_folder_is_no_file() =>
        Assert.That(() => ResultFile.Reserve(_folder, "serve"), Throws.InstanceOf<IOException>().With.Message.Contains("cannot be written"));

    [Test]
    public void Fields_are_written_with_what_is_needed_to_repeat_them()
    {
        string path = Path.Combine(_folder, "result.json");
        ResultFile.WriteFields(path, new JsonObject { ["completed"] = 3 });
        JsonNode json = JsonNode.Parse(File.ReadAllText(path))!;

        Assert.That(json["completed"]!.GetValue<int>(), Is.EqualTo(3));
        Assert.That(json["command"]!.GetValue<string>(), Does.StartWith("bench"));
        Assert.That(json["machine"]!["processor"], Is.Not.Null);
        Assert.That(json.AsObject().ContainsKey("commit"), Is.True);
    }
}
